"""What a model's time goes to is told from what computes shapes."""

import pytest

from vla_embeddings.runtime.placement import heavy_operators


@pytest.mark.parametrize(
    "name",
    [
        *("MatMul", "FusedMatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits"),
        *("Gemm", "QGemm", "Attention", "QAttention", "MultiHeadAttention"),
        *("Conv", "FusedConv", "ConvInteger", "QLinearConv"),
    ],
)
def test_products_attention_and_convolutions_of_any_form_are_heavy(name: str) -> None:
    assert heavy_operators({"Shape": 3, name: 2, "Gather": 1}) == {name: 2}


def test_operators_of_shapes_are_not_heavy() -> None:
    assert not heavy_operators({"Shape": 9, "Gather": 2, "Cast": 4, "Unsqueeze": 1, "Concat": 1})
