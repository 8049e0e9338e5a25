"""What every transform must pass, of whatever kind: documented, frozen, and the same after any journey."""

from __future__ import annotations

import inspect
import pickle

from pydantic import ValidationError

from datakit.core import plain_yaml
from datakit.core.documented import field_texts
from datakit.core.parameters import validated
from datakit.testing._bench import Bench
from datakit.testing._expect import expect


def is_documented(bench: Bench) -> None:
    """Its first line says what comes out, and every parameter has its text."""
    kind = bench.case.kind
    first = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
    expect(
        "__doc__" in vars(kind) and first.endswith("."),
        f"{kind.__name__} needs a docstring whose first line says what comes out, as a sentence that ends "
        f"with a full stop; it is {first!r}",
    )
    texts = field_texts(kind)
    bare = [field for field in kind.model_fields if not texts.get(field)]
    expect(not bare, f"parameters without a docstring under the field: {', '.join(bare)}")
    expect(kind.version >= 1, f"`version` starts from 1, not {kind.version}")


def survives_yaml(bench: Bench) -> None:
    """A recipe that is written and read again has the same step."""
    transform = bench.transform
    for unset in (True, False):
        values = transform.model_dump(mode="json", by_alias=True, exclude_unset=unset)
        text = plain_yaml.dump(values)
        again = validated(type(transform), plain_yaml.parse(text))
        expect(again == transform, f"written as YAML it is read back as another step:\n{text}{again!r}")


def is_frozen_and_strict(bench: Bench) -> None:
    """Its parameters cannot be changed, and an unknown one is refused."""
    transform = bench.transform
    for field in type(transform).model_fields:
        try:
            setattr(transform, field, None)
        except ValidationError:
            continue
        raise AssertionError(f"parameter {field} can be changed: keep `frozen=True` of the model's config")
    values = transform.model_dump(mode="json", by_alias=True, exclude_unset=True)
    try:
        validated(type(transform), {**values, "no_such_parameter": 1})
    except ValidationError as error:
        expect("extra_forbidden" in str(error), f"an unknown parameter is refused with other words: {error}")
        return
    raise AssertionError('an unknown parameter is taken: keep `extra="forbid"` of Transform.model_config')


def travels_to_worker_processes(bench: Bench) -> None:
    """It can be pickled, and arrives as it was."""
    try:
        again, _ = pickle.loads(pickle.dumps((bench.transform, bench.context())))
    except Exception as error:  # the author sees it: pickle raises whatever a class raises
        raise AssertionError(f"it cannot be pickled: {error}; define it at the top of a module") from error
    expect(again == bench.transform, f"after pickling it is another step: {again!r}")


CHECKS = (is_documented, survives_yaml, is_frozen_and_strict, travels_to_worker_processes)
