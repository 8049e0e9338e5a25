"""What the chats that records brought held when a build was made."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.compared import CHAT


def chats_of(build: BuildFolder) -> dict[str, str]:
    """Id of a record that brought a chat which is trained on -> core.judged.chat_digest of it; none in builds
    that do not say."""
    if build.compared is None or CHAT not in build.compared.collect_schema():
        return {}
    return dict(build.compared.select("id", CHAT).drop_nulls().collect().iter_rows())
