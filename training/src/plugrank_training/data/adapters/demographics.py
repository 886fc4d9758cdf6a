"""Columns of users, the same for the 100K and the 1M layout."""

from __future__ import annotations

AGE_GROUPS = ((56, "56+"), (50, "50-55"), (45, "45-49"), (35, "35-44"), (25, "25-34"), (18, "18-24"), (0, "under 18"))

# Numbers of the 1M layout, as its README names them.
OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)


def age_group(age: int) -> str:
    """The 1M layout's age group of an age; its own codes are the lower ends of the groups."""
    return next(name for lowest, name in AGE_GROUPS if age >= lowest)


def zip_region(code: str) -> str:
    """First digit of a US ZIP code, which stands for a group of states; `abroad` for other codes."""
    code = code.strip()
    if not code:
        return ""
    return code[0] if code[0] in "0123456789" else "abroad"
