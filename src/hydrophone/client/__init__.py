"""A client of a running Hydrophone: alerts as they come, and what its REST says.

    async with Client() as hydrophone:
        async for said in hydrophone.alerts(Filters(min_btc_value=500)):
            ...

Each alert comes once and in order, also over lost connections and restarts of the service; what cannot be had
again is said (`ResyncRequiredMessage`).
"""

from hydrophone.client.service import Client
from hydrophone.errors import ClientError, RequestRefused, ServiceUnreachable
from hydrophone.wire.public_v1 import (
    ConnectionMessage,
    StatusUpdateMessage,
    StatusUpdateV1,
    WhaleAlertMessage,
    WhaleAlertV1,
)
from hydrophone.wire.rest_queries import NetflowQuery, PredictionsQuery, StatisticsQuery
from hydrophone.wire.socket_v1 import FiltersV1 as Filters
from hydrophone.wire.socket_v1 import ResyncRequiredMessage

__all__ = [
    "Client",
    "ClientError",
    "ConnectionMessage",
    "Filters",
    "NetflowQuery",
    "PredictionsQuery",
    "RequestRefused",
    "ResyncRequiredMessage",
    "ServiceUnreachable",
    "StatisticsQuery",
    "StatusUpdateMessage",
    "StatusUpdateV1",
    "WhaleAlertMessage",
    "WhaleAlertV1",
]
