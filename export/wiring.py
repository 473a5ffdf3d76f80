"""What a graph's nodes make and read, to change some of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from vla_embeddings.errors import ExportError


class Wiring:
    """Looks up a graph's nodes and fp32 constants, and gives nodes other constants.

    Args:
        graph: nodes put into it or taken out later are not known here.
    """

    def __init__(self, graph: ModelProto) -> None:
        self._body = graph.graph
        self._constants = {
            entry.name: entry
            for entry in graph.graph.initializer
            if entry.data_type == TensorProto.FLOAT
        }
        self._outputs = {entry.name for entry in graph.graph.output}
        self._makers: dict[str, NodeProto] = {}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in graph.graph.node:
            self._makers.update(dict.fromkeys(node.output, node))
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    @property
    def nodes(self) -> Sequence[NodeProto]:
        """All nodes, in their order."""
        return self._body.node

    def constant(self, name: str) -> NDArray[np.float32] | None:
        """The value of an fp32 constant; None where the name is none's."""
        entry = self._constants.get(name)
        return None if entry is None else numpy_helper.to_array(entry)

    def constant_of(self, node: NodeProto, place: int) -> NDArray[np.float32]:
        """The value of a node's input that is an fp32 constant."""
        value = self.constant(node.input[place])
        if value is None:
            raise ExportError(f"Input {place} of {node.name} ({node.op_type}) is no constant.")
        return value

    def maker(self, name: str) -> NodeProto | None:
        """The node that makes a tensor; None for inputs and constants."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[NodeProto]:
        """The nodes that read a tensor."""
        return self._readers.get(name, [])

    def is_output(self, name: str) -> bool:
        """Whether the graph's caller sees a tensor."""
        return name in self._outputs

    def only_reader(self, name: str) -> NodeProto | None:
        """The node that alone sees a tensor; None where several do, or the graph's caller."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and not self.is_output(name) else None

    def products(self) -> dict[str, list[NodeProto]]:
        """The MatMuls and Attentions by constant weights, by the activation that they read."""
        products: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            if node.op_type in ("Attention", "MatMul") and node.input[1] in self._constants:
                products.setdefault(node.input[0], []).append(node)
        return products

    def give_constant(self, node: NodeProto, place: int, value: NDArray[np.float32]) -> None:
        """Have one input of a node read another constant.

        Nodes that read the same constant keep it: equal ones are one in an exported graph.
        """
        name = f"{node.output[0]}_constant_{place}"
        entry = numpy_helper.from_array(value, name)
        if name in self._constants:
            self._constants[name].CopyFrom(entry)
            return
        self._body.initializer.append(entry)
        self._constants[name] = self._body.initializer[-1]
        node.input[place] = name
