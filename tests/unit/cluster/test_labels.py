"""Labels and names of objects: what the API takes, and the same on each machine."""

from __future__ import annotations

from buildr_jupyter.cluster.labels import job_selector, owner_of, safe_label, slug


def test_texts_become_names_and_labels() -> None:
    assert (slug("Ä_b C--", 63), slug("___", 63), slug("x" * 80, 46)) == ("b-c", "run", "x" * 46)
    assert (safe_label("a.b"), safe_label("sha256:" + "d" * 64)) == ("a.b", "d" * 12)
    assert len(safe_label("a b")) == 12
    assert owner_of("me") == owner_of("me") != owner_of("you")
    assert job_selector("a") == "batch.kubernetes.io/job-name=a"
