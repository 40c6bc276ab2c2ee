"""What a metric of the list holds now. The values are the whole process's: a test compares before and after."""

from metrics import AnyMetric


def held(metric: AnyMetric, *labels: object) -> float:
    """The value under these labels, in the order of the list; of a histogram, how much was observed."""
    wanted = dict(zip(metric.labels, map(str, labels), strict=True))
    name = f"{metric.name}_count" if metric.kind == "histogram" else metric.name
    [family] = metric.collector.collect()
    return sum(sample.value for sample in family.samples if sample.name == name and sample.labels == wanted)
