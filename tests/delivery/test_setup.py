"""What a run works with: clients that the warehouse knows, among others."""

from __future__ import annotations

import pytest
from builders import integration

from delivery.errors import ConfigError
from delivery.setup import check_namespace


@pytest.mark.parametrize(("known", "more"), [(3, ""), (20, ""), (21, ", …")])
def test_a_client_that_the_warehouse_does_not_know_is_refused_with_the_first_that_it_knows(
    known: int, more: str
) -> None:
    names = [f"client_{number:02}" for number in range(known)]
    check_namespace("by_share", integration(namespace="client_02"), frozenset(names))
    with pytest.raises(ConfigError) as refused:
        check_namespace("by_share", integration(namespace="cedar_books"), frozenset(names))
    assert refused.value.message == "integrations.by_share.namespace: unknown namespace 'cedar_books'."
    assert refused.value.hint.endswith(f"run `dbt build`. Known: {', '.join(names[:20])}{more}.")


def test_where_no_list_of_clients_is_kept_none_is_unknown() -> None:
    check_namespace("by_share", integration(), None)
