"""Asking the running service over HTTP: a service that runs has the database to itself."""

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final

from hydrophone.bootstrap import control_path
from hydrophone.config import Settings, host_in_url
from hydrophone.errors import ConfigError, MalformedMessage
from hydrophone.runtime.local_socket import connect_to
from hydrophone.wire.control_v1 import MAX_LINE_BYTES, Answer, BackUp, encode_line, parse_answer

_TIMEOUT_S: Final = 2.0
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
        request = urllib.request.Request(url, headers=_authorization(settings))
        with open_direct(request, timeout=timeout_s) as response:
            return url, HTTPStatus(response.status), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return url, HTTPStatus(error.code), error.read()
    except OSError:
        return None
    except (ValueError, HTTPException) as error:
        raise ConfigError(f"{url} did not answer with HTTP: is it Hydrophone that listens there?") from error


def _authorization(settings: Settings) -> dict[str, str]:
    """Return the header by which the service lets us in; none where no token is set.

    Raises:
        ConfigError: the file of the token cannot be read.
    """
    path = settings.access.token_file
    if path is None:
        return {}
    try:
        return {"Authorization": f"Bearer {path.read_text(encoding='ascii').strip()}"}
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read the token in {path} (access.token_file): {error}") from error


def ask_control(settings: Settings, request: BackUp) -> Answer | None:
    """Return what a running service answers at its control socket; None when none runs.

    Raises:
        ConfigError: the socket is not for us, or what answers does not speak our protocol.
    """
    path = control_path(settings)
    try:
        with connect_to(path) as connection:
            connection.sendall(encode_line(request))
            with connection.makefile("rb") as answers:
                line = answers.readline(MAX_LINE_BYTES)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise ConfigError(
            f"cannot ask the service at {path}: {error.strerror}: ask as the user of the service, or as root"
        ) from error
    try:
        return parse_answer(line)
    except MalformedMessage as error:
        raise ConfigError(f"the service at {path} ended before it answered, or is none of ours") from error


def fetch_from_service(
    settings: Settings, path: str, *, timeout_s: float = _TIMEOUT_S
) -> tuple[str, dict[str, Any]] | None:
    """Return the URL that was asked and the JSON object that a running service answers; None when none runs.

    Raises:
        ConfigError: something else answers there, or the service refuses.
    """
    answer = ask_service(settings, path, timeout_s=timeout_s)
    if answer is None:
        return None
    url, status, body = answer
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise ConfigError(
            f"{url} answered {status.value}: it wants a token; save one in a file "
            "(`hydrophone token create`) and name that in access.token_file"
        )
    if status is not HTTPStatus.OK:
        raise ConfigError(f"{url} answered {status.value}: is it Hydrophone that listens there?")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ConfigError(f"{url} did not answer with JSON: is it Hydrophone that listens there?") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{url} did not answer with a JSON object: is it Hydrophone that listens there?")
    return url, found
