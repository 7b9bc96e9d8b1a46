"""The page `delivery analytics`: analytics and deliveries of a client, to look at and to download. It changes nothing.

`server` answers a browser on this machine, `app` is the script that Streamlit runs for each visitor, and the rest is
what the script shows. Needs the extra `analytics`.
"""
