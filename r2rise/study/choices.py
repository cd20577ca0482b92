"""The names that fields of a study choose from; light to import, for help texts."""

from typing import Literal

EstimatorName = Literal["difference", "ridge", "rise", "rise_normalized"]
EstimatorChoice = Literal["auto", EstimatorName]
DesignName = Literal["foldover", "balanced", "bernoulli"]
DesignChoice = Literal["auto", DesignName]
Backend = Literal["gymnasium", "batched", "envpool"]
BackendChoice = Literal["auto", Backend]
TrainingSeeds = Literal["block", "pair"]
