"""A growing list of ONNX nodes; every node is named by its output."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper


class Nodes:
    """Nodes and constants in the order they were added."""

    FLOAT = TensorProto.FLOAT

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; the name of the output."""
        return self.add_all(op, *inputs, domain=domain, **attributes)[0]

    def add_all(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node with several outputs; their names."""
        names = [self._name() if i == 0 else f"{self._name()}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, names[0], domain=domain, **attributes))
        return names

    def constant(self, array: np.ndarray) -> str:
        """An array; real numbers in single precision unless they are in half."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = self._name()
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value: float) -> str:
        """One real number."""
        return self.constant(np.array(value, dtype=np.float32))

    def whole_numbers(self, *values: int) -> str:
        """A list of whole numbers, such as axes."""
        return self.constant(np.array(values, dtype=np.int64))

    def name(self, value: str, output: str) -> None:
        """Give a value the name of an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [output], output))

    def _name(self) -> str:
        return f"{self.prefix}{len(self.nodes) + len(self.constants)}"
