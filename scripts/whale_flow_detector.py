"""The quickstart's name for the detector."""

from hydrophone.detector import WhaleFlowDetector

__all__ = ["WhaleFlowDetector"]
