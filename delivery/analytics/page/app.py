"""The script that Streamlit runs for each visitor and each choice: who looks, at which client; then the page."""

from __future__ import annotations

import time

import streamlit as st

from delivery.analytics.page import deliveries, reading, results
from delivery.analytics.page.served import current, looks, told
from delivery.config.share import USER_HEADER


def main() -> None:
    """The page of figures; without a login in front, where those look who run this, that of deliveries, too."""
    st.set_page_config(page_title="Analytics", layout="wide")
    figures = st.Page(results.show, title="Analytics", url_path="analytics", default=True)
    sent = st.Page(deliveries.show, title="Deliveries", url_path="deliveries")
    page = st.navigation([figures] if current().door else [figures, sent])
    try:
        if current().door:
            st.sidebar.html('<a href="/">Your files</a> · <a href="/log-out">Log out</a>')
        if _is_in() and _chosen():
            page.run()
    except Exception as error:  # noqa: BLE001 - shown here or nowhere: a raw traceback may quote the data
        st.error(told(error), icon=":material/error:")


def _is_in() -> bool:
    """Whether the visitor may go on: asked at each click, because a connection outlives a login."""
    door = current().door
    if door is None:
        return True
    account, state, now = looks(st.context.headers.get(USER_HEADER, "")), st.session_state, time.monotonic()
    if (
        account is None
        or state.setdefault("password", account.password) != account.password
        or now - state.setdefault("clicked_at", now) > door.session_seconds
    ):
        st.html('<p>You are logged out. <a href="/log-out">Log in</a></p>')
        return False
    state["clicked_at"] = now
    return True


def _chosen() -> bool:
    """Asks which client; False when there is none whose figures the visitor may have."""
    names = reading.names()
    clients = [client for client in names if not current().door or reading.contracted(client)]
    if not clients:
        st.info("Analytics are in no contract of yours. Your files are there all the same.")
        return False
    st.sidebar.selectbox("Client", clients, format_func=names.__getitem__, key="namespace")
    return True


main()
