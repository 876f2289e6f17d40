"""Asking the running service over HTTP: a service that runs has the database to itself."""

import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from typing import Final

from hydrophone.config import Settings, host_in_url
from hydrophone.errors import ConfigError

open_direct: Final = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
"""A proxy set in the environment knows another localhost."""


def ask_service(settings: Settings, path: str, *, timeout_s: float) -> tuple[str, HTTPStatus, bytes] | None:
    """Return the URL that was asked, the status and the body of the answer; None when nobody answers.

    Args:
        settings: they say where the service is.
        path: with its leading slash.
        timeout_s: for each step of the answer.

    Raises:
        ConfigError: what answers does not speak HTTP.
    """
    url = f"http://{host_in_url(settings.api.host)}:{settings.api.port}{path}"
    try:
        with open_direct(url, timeout=timeout_s) as response:
            return url, HTTPStatus(response.status), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return url, HTTPStatus(error.code), error.read()
    except OSError:
        return None
    except (ValueError, HTTPException) as error:
        raise ConfigError(f"{url} did not answer with HTTP: is it Hydrophone that listens there?") from error
