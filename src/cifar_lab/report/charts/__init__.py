"""Charts of an answer: figures by matplotlib, interactive charts for report.html."""
