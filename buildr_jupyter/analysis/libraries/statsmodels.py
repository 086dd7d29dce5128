"""statsmodels: which methods of its objects only ask."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import words

__all__ = ["LEFT_BY_QUESTIONS", "QUESTIONS"]

QUESTIONS = words(
    "conf_int cov_params f_test get_forecast get_prediction head summary summary2 summary_frame t_test tail wald_test"
)
"""Methods that change nothing of its objects, or of the tables that it gives, and draw nothing."""

LEFT_BY_QUESTIONS = words("dframe diagn endog_names predict_dates predict_end predict_start table")
"""Attributes that these methods leave, all the same: who reads one needs the calls before."""
