"""One TFLite network in LiteRT (`ai-edge-litert`), on one thread of the processor, with XNNPACK's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tkbench import weights
from tkbench.prep.backends.quiet import quiet
from tkbench.types import Array, Float32


class Network:
    """A network of the weights registry, whose inputs and answers are float32.

    weight: name in the registry. Each input is multiplied by `scale`, and `offset` is added, on its way into the
    network. Raises WeightsMissing or WeightsRefused where the file is not the pinned one.
    """

    def __init__(self, weight: str, *, scale: float = 1.0, offset: float = 0.0) -> None:
        path = weights.find(weight)
        with quiet():
            from ai_edge_litert.interpreter import Interpreter

            self._net: Any = Interpreter(model_path=str(path), num_threads=1)
            self._net.allocate_tensors()
        self._inputs = [self._net.tensor(facts["index"]) for facts in self._net.get_input_details()]
        self._outputs = [facts["index"] for facts in self._net.get_output_details()]
        self._scale, self._offset = np.float32(scale), np.float32(offset)

    def run(self, *inputs: Array) -> list[Float32]:
        """The answers to these inputs, which may lack leading axes of length 1."""
        for place, given in zip(self._inputs, inputs, strict=True):
            # Written straight into the network's memory, which it does not like to be referred to when it runs.
            memory = place()
            np.multiply(given, self._scale, out=memory)
            if self._offset:
                memory += self._offset
            del memory
        self._net.invoke()
        return [self._net.get_tensor(index) for index in self._outputs]
