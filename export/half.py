"""An fp32 graph in fp16, but for some nodes, every change of type a Cast of its own."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_LARGEST = np.finfo(np.float16).max


def halve(model: ModelProto, full: Collection[str]) -> ModelProto:
    """The graph with float weights and activations in fp16.

    Each value has one type, that of the node which makes it, and is cast once for all nodes that
    read it in the other. ONNX Runtime's own converter casts what a full node makes down and up
    again between two such nodes.

    Args:
        model: without subgraphs; left as it is.
        full: names of the nodes that compute in fp32, those that make the graph's outputs
            among them.
    """
    inferred = _with_types(model)
    entries = [*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input]
    floats = {entry.name for entry in entries if entry.type.tensor_type.elem_type == FLOAT}
    graph = _Halving(floats, frozenset(full))
    for entry in inferred.graph.initializer:
        graph.add_constant(entry.name, entry)
    for node in inferred.graph.node:
        graph.add(node)
    body = helper.make_graph(
        graph.nodes,
        model.graph.name,
        model.graph.input,
        model.graph.output,
        list(graph.tensors.values()),
    )
    return helper.make_model(body, opset_imports=model.opset_import, ir_version=model.ir_version)


def _with_types(model: ModelProto) -> ModelProto:
    """A copy with the type of every value."""
    typed = ModelProto()
    typed.CopyFrom(model)
    # ONNX knows no type of what ONNX Runtime's own operators make, which here are floats alone.
    typed.graph.value_info.extend(
        helper.make_tensor_value_info(name, FLOAT, None)
        for node in model.graph.node
        if node.domain == "com.microsoft"
        for name in node.output
        if name
    )
    return onnx.shape_inference.infer_shapes(typed, strict_mode=True, data_prop=True)


@dataclass
class _Halving:
    """The new graph while it is made, node by node in the old one's order."""

    floats: set[str]
    """Names of the old graph's values of type float, constants apart."""
    full: Collection[str]
    types: dict[str, int] = field(default_factory=dict)
    """What each float value of the new graph is."""
    constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    tensors: dict[str, TensorProto] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)

    def add_constant(self, name: str, tensor: TensorProto) -> None:
        """A constant, put into the graph once a node wants it in a type."""
        if tensor.data_type == FLOAT:
            self.constants[name] = numpy_helper.to_array(tensor)
            return
        self.tensors[name] = numpy_helper.from_array(numpy_helper.to_array(tensor), name)

    def add(self, node: NodeProto) -> None:
        """A node in its type, behind the casts that it needs."""
        if node.op_type == "Constant":
            self.add_constant(node.output[0], node.attribute[0].t)
            return
        wanted = FLOAT if node.name in self.full else HALF
        # A Cast reads any type; what it makes is the question.
        inputs = [
            name if node.op_type == "Cast" else self._as(wanted, name) for name in node.input
        ]
        copy = helper.make_node(node.op_type, inputs, node.output, node.name, domain=node.domain)
        copy.attribute.extend(self._attribute(each, wanted, node) for each in node.attribute)
        self.nodes.append(copy)
        self.types |= {name: wanted for name in node.output if name in self.floats}

    def _as(self, wanted: int, name: str) -> str:
        """The name of a value in the wanted type; others than floats keep theirs."""
        if name in self.constants:
            return self._constant_as(wanted, name)
        if self.types.get(name, wanted) == wanted:
            return name
        cast = f"{name}_as_{TensorProto.DataType.Name(wanted).lower()}"
        if cast not in self.types:
            self.nodes.append(helper.make_node("Cast", [name], [cast], cast, to=wanted))
            self.types[cast] = wanted
        return cast

    def _constant_as(self, wanted: int, name: str) -> str:
        if wanted == FLOAT:
            self.tensors[name] = numpy_helper.from_array(self.constants[name], name)
            return name
        half = f"{name}_half"
        values = np.clip(self.constants[name], -_LARGEST, _LARGEST).astype(np.float16)
        self.tensors[half] = numpy_helper.from_array(values, half)
        return half

    def _attribute(
        self, attribute: AttributeProto, wanted: int, node: NodeProto
    ) -> AttributeProto:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
            return helper.make_attribute("to", wanted)
        return attribute
