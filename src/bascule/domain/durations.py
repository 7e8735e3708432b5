"""How long a port may be open, and connections may stay beyond that.

Source: JitNetworkAccessPolicy of Microsoft.Security, api-version 2020-01-01;
``maxRequestAccessDuration`` is "minimum 5 minutes, maximum 1 day" there.
"""

from __future__ import annotations

from datetime import timedelta

MINIMUM_DURATION = timedelta(minutes=5)  # inclusive
MAXIMUM_DURATION = timedelta(days=1)  # inclusive
MINIMUM_DRAIN, MAXIMUM_DRAIN = timedelta(seconds=1), timedelta(hours=8)  # both inclusive
