"""What records brought besides label, pictures and text when a build was made."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.compared import BROUGHT, BROUGHT_COLUMNS, CHAT


def chats_of(build: BuildFolder) -> dict[str, str]:
    """Id of a record that brought a chat which is trained on -> core.judged.chat_digest of it; none in builds
    that do not say."""
    return _digests(build, CHAT)


def brought_of(build: BuildFolder) -> dict[str, str]:
    """Id of a record that brought such a chat, or columns of its source that are asked or answered ->
    core.judged.brought_digest of them; in builds that do not say, the chats."""
    return _digests(build, CHAT) | _digests(build, BROUGHT)


def own_columns_of(build: BuildFolder) -> dict[str, tuple[str, str]]:
    """Id of a record that brought such columns -> core.judged.brought_digest, and column_digests of them; ""
    in builds that do not say which."""
    columns = column_digests_of(build)
    return {id_: (digest, columns.get(id_, "")) for id_, digest in _digests(build, BROUGHT).items()}


def column_digests_of(build: BuildFolder) -> dict[str, str]:
    """Id of a record that brought such columns -> core.judged.column_digests of them; none in builds that do
    not say."""
    return _digests(build, BROUGHT_COLUMNS)


def _digests(build: BuildFolder, column: str) -> dict[str, str]:
    if build.compared is None or column not in build.compared.collect_schema():
        return {}
    return dict(build.compared.select("id", column).drop_nulls().collect().iter_rows())
