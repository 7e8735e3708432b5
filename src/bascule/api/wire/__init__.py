"""Where ARM's camelCase JSON and the domain meet, and the only place where they do.

Source: Microsoft.Security jitNetworkAccessPolicies, api-version 2020-01-01, as published
and as its live service and clients were seen to behave; Bascule's own shapes beside it.

Reading is lenient where clients are known to differ (numbers as strings, null for
absent, unknown fields) and strict otherwise; every problem is reported at once, each
with the JSON path of its field. What is not here: routes, status codes, who may call.
"""
