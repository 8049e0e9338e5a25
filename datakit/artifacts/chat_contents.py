"""What records brought besides label, pictures and text when a build was made."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.compared import BROUGHT, CHAT


def chats_of(build: BuildFolder) -> dict[str, str]:
    """Id of a record that brought a chat which is trained on -> core.judged.chat_digest of it; none in builds
    that do not say."""
    return _digests(build, CHAT)


def brought_of(build: BuildFolder) -> dict[str, str]:
    """Id of a record that brought such a chat, or columns of its source that are asked or answered ->
    core.judged.brought_digest of them; in builds that do not say, the chats."""
    return _digests(build, CHAT) | own_columns_of(build)


def own_columns_of(build: BuildFolder) -> dict[str, str]:
    """Those of the records that brought such columns."""
    return _digests(build, BROUGHT)


def _digests(build: BuildFolder, column: str) -> dict[str, str]:
    if build.compared is None or column not in build.compared.collect_schema():
        return {}
    return dict(build.compared.select("id", column).drop_nulls().collect().iter_rows())
