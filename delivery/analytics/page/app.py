"""The script that Streamlit runs for each visitor and each choice: picks the client, then shows the page asked for."""

from __future__ import annotations

import streamlit as st

from delivery.analytics.page import deliveries, results
from delivery.analytics.page.served import current
from delivery.errors import known


def main() -> None:
    """Both pages: analytics, and deliveries."""
    st.set_page_config(page_title="Delivery", layout="wide")
    page = st.navigation(
        [
            st.Page(results.show, title="Analytics", url_path="analytics", default=True),
            st.Page(deliveries.show, title="Deliveries", url_path="deliveries"),
        ]
    )
    st.sidebar.selectbox("Client", current().namespaces, key="namespace")
    try:
        page.run()
    except Exception as error:  # noqa: BLE001 - shown here or nowhere: a raw traceback may quote the data
        shown = known(error)
        st.error(f"{shown.message}\n\n{shown.hint}", icon=":material/error:")


main()
