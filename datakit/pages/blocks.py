"""The blocks of a page, as they stand in datakit.core.blocks, where transforms take them from too."""

from datakit.core.blocks import PROSE_CHARS as PROSE_CHARS
from datakit.core.blocks import Block as Block
from datakit.core.blocks import Bullets as Bullets
from datakit.core.blocks import Card as Card
from datakit.core.blocks import Cell as Cell
from datakit.core.blocks import ChangedText as ChangedText
from datakit.core.blocks import Chart as Chart
from datakit.core.blocks import Code as Code
from datakit.core.blocks import CodeBlock as CodeBlock
from datakit.core.blocks import Comparison as Comparison
from datakit.core.blocks import Framed as Framed
from datakit.core.blocks import Gallery as Gallery
from datakit.core.blocks import Link as Link
from datakit.core.blocks import Part as Part
from datakit.core.blocks import Sample as Sample
from datakit.core.blocks import Screen as Screen
from datakit.core.blocks import Section as Section
from datakit.core.blocks import Specimen as Specimen
from datakit.core.blocks import Table as Table
from datakit.core.blocks import Text as Text
from datakit.core.blocks import Thumbnail as Thumbnail
from datakit.core.blocks import Tile as Tile
from datakit.core.blocks import Turn as Turn
