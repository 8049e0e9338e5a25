"""The way out of this machine, looked at before anything is asked: address, key, proxy, certificates.

Whatever is wrong here fails every request alike, so it is an error of its owner and never a record's.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING

from datakit.core.errors import Exit, UserError
from datakit.core.regular_files import check_regular

if TYPE_CHECKING:
    from openai import DefaultAsyncHttpxClient

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""What OpenSSL reads by itself; a path that is not there is as good as no certificate at all."""


def check_address(url: str, source: str = "llm.base_url") -> None:
    """Raises UserError for what is no address of a server."""
    shown = url.encode("unicode_escape").decode()
    fault = ""
    try:
        parts = urllib.parse.urlsplit(url)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        fault, has_place, parts = f" ({error})", False, urllib.parse.SplitResult("", "", "", "", "")
    if any(char.isspace() or not char.isprintable() for char in url):
        fault, has_place = " (white space or a line end stands in it)", False
    if parts.username or parts.password:
        raise UserError(
            f"the address in {source} holds a name or a password, which would stand in logs and cards",
            remedy="Take it out of the address; give it as a header by llm.extra_headers and a ${VARIABLE}.",
            exit_code=Exit.PROVIDER,
        )
    if not has_place or parts.scheme not in ("http", "https"):
        raise UserError(
            f"`{shown}` is no address of a server{fault}",
            remedy=f"Give {source} as https://HOST/v1 or http://127.0.0.1:8000/v1.",
            exit_code=Exit.PROVIDER,
        )


def check_key(name: str, key: str) -> None:
    """Raises UserError for a key that no header can carry; the key itself is never shown."""
    if key != key.strip():
        what = "a line end" if key.rstrip(" \t") != key.rstrip() or key[:1] in "\r\n" else "white space"
        fault = f"begins or ends with {what}"
    elif any(not char.isprintable() or char.isspace() for char in key):
        fault = "holds a control character or white space"
    elif not key.isascii():
        odd = next(char for char in key if not char.isascii())
        fault = f"holds `{odd}` (U+{ord(odd):04X}), which no key has"
    else:
        return
    raise UserError(
        f"the key in {name} {fault}, so no request can carry it",
        remedy=f"Set {name} to the key alone; a file from Windows ends its lines with a carriage return.",
        exit_code=Exit.PROVIDER,
    )


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises UserError for headers that cannot be sent; values are never shown."""
    for name, value in headers.items():
        bad_name = (
            not name or not name.isascii() or any(not char.isprintable() or char in " :" for char in name)
        )
        if bad_name or any(not char.isprintable() and char != "\t" for char in value):
            shown = name.encode("unicode_escape").decode()
            raise UserError(
                f"the header `{shown}` cannot be sent: a line end or control character stands in it",
                remedy="Mend llm.extra_headers, or the environment variable that it names.",
                exit_code=Exit.PROVIDER,
            )


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for this address; never one for this machine itself.

    Raises UserError for a proxy that cannot be used.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    variable = proxy_variable(url)
    if variable is None:
        return None
    address = urllib.request.getproxies()[variable.removesuffix("_PROXY").lower()]
    proxy = address if "://" in address else f"http://{address}"
    _check_proxy(proxy, variable, host)
    return proxy


def proxy_variable(url: str) -> str | None:
    """The environment variable that names the proxy for this address; None where none is asked."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if host in _LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    which = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    return None if which is None else f"{which.upper()}_PROXY"


def shown_proxy(proxy: str) -> str:
    """A proxy's address without name and password."""
    parts = urllib.parse.urlsplit(proxy)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _check_proxy(proxy: str, variable: str, host: str) -> None:
    remedy = f"Set {variable} to http://HOST:PORT (most proxy programs speak HTTP too), or NO_PROXY={host}."
    try:
        parts = urllib.parse.urlsplit(proxy)
        is_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise UserError(
            f"{variable} is no address of a proxy", remedy=remedy, exit_code=Exit.PROVIDER
        ) from None
    shown = shown_proxy(proxy)
    if parts.scheme in ("socks5", "socks5h", "socks4", "socks4a"):
        if importlib.util.find_spec("aiohttp_socks") is None:
            raise UserError(
                f"{variable} names a SOCKS proxy ({shown}), which needs the package aiohttp-socks",
                remedy=f"Install it: pip install aiohttp-socks. Or: {remedy}",
                exit_code=Exit.PROVIDER,
            )
    elif parts.scheme not in ("http", "https") or not is_place:
        raise UserError(
            f"{variable} names a proxy of an unknown kind ({shown})", remedy=remedy, exit_code=Exit.PROVIDER
        )


def is_socks(proxy: str | None) -> bool:
    """Whether a proxy speaks SOCKS, which aiohttp itself does not."""
    return proxy is not None and proxy.startswith("socks")


def check_certificates(url: str) -> None:
    """Raises UserError where the environment names certificates that cannot be read; for https only."""
    for variable in _CERTIFICATES:
        path = os.environ.get(variable)
        if not path:
            continue
        try:
            if variable == "SSL_CERT_FILE" and os.path.exists(path):
                check_regular(path)  # for http too: packages load it when they are imported
            if not url.startswith("https://"):
                continue
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if variable == "SSL_CERT_FILE":
                context.load_verify_locations(cafile=path)
            else:
                os.listdir(path)
        except OSError as error:  # of which ssl.SSLError is one
            why = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no certificate in PEM"
            raise UserError(
                f"{variable} names {path}, which cannot be used: {why}",
                remedy=f"Set {variable} to your certificates, or unset it for those of the system.",
                exit_code=Exit.PROVIDER,
            ) from None


def http_client(url: str) -> DefaultAsyncHttpxClient:
    """A client for the `openai` package that goes the same way as every other request."""
    from openai import DefaultAsyncHttpxClient

    proxy = proxy_of(url)
    if is_socks(proxy) and importlib.util.find_spec("socksio") is None:
        raise UserError(
            "files and batches through a SOCKS proxy need the package socksio",
            remedy="Install it: pip install socksio. Or name an http:// proxy.",
            exit_code=Exit.PROVIDER,
        )
    check_certificates(url)
    own = any(os.environ.get(name) for name in _CERTIFICATES)
    verify = ssl.create_default_context() if own else True
    return DefaultAsyncHttpxClient(trust_env=False, proxy=proxy, verify=verify)


def joined(address: str, path: str) -> str:
    """An address with a path behind its own; its query stays behind both."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))
