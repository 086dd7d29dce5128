"""kaniko: its executor and its output."""
