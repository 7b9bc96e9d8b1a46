"""Analytics by hand: measures, exports, the report of a day, and the page for people without a terminal."""
