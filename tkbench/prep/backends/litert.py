"""One TFLite network in LiteRT (`ai-edge-litert`), on one thread of the processor, with XNNPACK's kernels."""

from __future__ import annotations

from typing import Any

from tkbench import weights
from tkbench.prep.backends.quiet import quiet
from tkbench.types import Array, Float32


class Network:
    """A network of the weights registry: one array in, its answers out.

    weight: name in the registry. Raises WeightsMissing or WeightsRefused where the file is not the pinned one.
    """

    def __init__(self, weight: str) -> None:
        path = weights.find(weight)
        with quiet():
            from ai_edge_litert.interpreter import Interpreter

            self._net: Any = Interpreter(model_path=str(path), num_threads=1)
            self._net.allocate_tensors()
        self._input = self._net.tensor(self._net.get_input_details()[0]["index"])
        self._outputs = [self._net.tensor(facts["index"]) for facts in self._net.get_output_details()]

    def input(self) -> Float32:
        """The network's own memory for its input, to write into before `run`. Keep no reference to it."""
        array: Float32 = self._input()
        return array

    def run(self) -> list[Array]:
        """The answers to what was written into `input`, in the network's own memory.

        They change with the next run, which fails while one of them is referred to: copy what is kept.
        """
        self._net.invoke()
        return [output() for output in self._outputs]
