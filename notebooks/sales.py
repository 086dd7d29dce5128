"""A local module, as notebooks have them: it goes into the image because the cell uses it."""

import pandas as pd


def monthly(orders: pd.DataFrame) -> pd.DataFrame:
    """Return turnover and number of orders by month."""
    month = orders["day"].dt.to_period("M").astype(str).rename("month")
    return orders.groupby(month)["amount"].agg(turnover="sum", orders="count")
