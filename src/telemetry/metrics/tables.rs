//! Metrics with labels. The values of every label are known beforehand, so a table is an array: finding a cell is an
//! index, and there can never be more series than are written here.

use std::marker::PhantomData;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::telemetry::metrics::exposition::Metric;
use crate::telemetry::metrics::exposition::Samples;
use crate::telemetry::metrics::exposition::Type;

/// A label with a closed list of values.
pub trait Label: Copy {
    /// Its name.
    const NAME: &'static str;
    /// What its values are called.
    const TEXTS: &'static [&'static str];
    /// Which of them it is.
    fn index(self) -> usize;
    /// What it is called.
    fn text(self) -> &'static str {
        Self::TEXTS[self.index()]
    }
}

/// A metric for each value of a label; that may be a table itself. All of them are told, but in a table of tables only
/// those that were ever touched.
#[derive(Debug)]
pub struct Table<L, M> {
    cells: Box<[M]>,
    label: PhantomData<fn(L)>,
}

impl<L: Label, M: Default> Default for Table<L, M> {
    fn default() -> Self {
        Self { cells: L::TEXTS.iter().map(|_| M::default()).collect(), label: PhantomData }
    }
}

impl<L: Label, M> Table<L, M> {
    /// The metric of that value.
    pub fn at(&self, value: L) -> &M {
        &self.cells[value.index()]
    }
}

impl<L: Label, M: Metric> Metric for Table<L, M> {
    const TYPE: Type = M::TYPE;

    fn is_zero(&self) -> bool {
        self.cells.iter().all(Metric::is_zero)
    }

    fn write(&self, samples: &mut Samples<'_>) {
        for (text, cell) in L::TEXTS.iter().zip(&self.cells) {
            samples.labelled(L::NAME, text, |samples| cell.write(samples));
        }
    }
}

/// A table with many values, of which only those are told that were ever touched.
#[derive(Debug, Default)]
pub struct Sparse<T>(T);

impl<L: Label, M> Sparse<Table<L, M>> {
    /// The metric of that value.
    pub fn at(&self, value: L) -> &M {
        self.0.at(value)
    }
}

impl<L: Label, M: Metric> Metric for Sparse<Table<L, M>> {
    const TYPE: Type = M::TYPE;

    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    fn write(&self, samples: &mut Samples<'_>) {
        for (text, cell) in L::TEXTS.iter().zip(&self.0.cells) {
            if !cell.is_zero() {
                samples.labelled(L::NAME, text, |samples| cell.write(samples));
            }
        }
    }
}

/// A metric for each of the values that a higher floor has for a label.
#[derive(Debug, Default)]
pub struct Listed<M> {
    label: &'static str,
    cells: Vec<(&'static str, M)>,
}

impl<M: Default> Listed<M> {
    /// One for each of `values`.
    pub(super) fn new(label: &'static str, values: impl IntoIterator<Item = &'static str>) -> Self {
        Self { label, cells: values.into_iter().map(|value| (value, M::default())).collect() }
    }

    /// The metric of the value in that place of the list, if the list is so long.
    pub fn at(&self, index: usize) -> Option<&M> {
        self.cells.get(index).map(|(_, metric)| metric)
    }
}

impl<M: Metric> Metric for Listed<M> {
    const TYPE: Type = M::TYPE;

    fn is_zero(&self) -> bool {
        self.cells.iter().all(|(_, metric)| metric.is_zero())
    }

    fn write(&self, samples: &mut Samples<'_>) {
        for (value, metric) in &self.cells {
            samples.labelled(self.label, value, |samples| metric.write(samples));
        }
    }
}

/// Values by group, topic and partition, put in as a whole by whoever keeps their number within bounds.
#[derive(Debug, Default)]
pub struct ByPartition(Mutex<Vec<PartitionValue>>);

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionValue {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The value.
    pub value: f64,
}

impl ByPartition {
    /// Puts `values` in place of what was there.
    pub fn set(&self, values: Vec<PartitionValue>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }
}

impl Metric for ByPartition {
    const TYPE: Type = Type::Gauge;

    fn is_zero(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn write(&self, samples: &mut Samples<'_>) {
        for PartitionValue { group, topic, partition, value } in &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
        {
            samples.labelled("group", group, |samples| {
                samples.labelled("topic", topic, |samples| {
                    samples.labelled("partition", &partition.to_string(), |samples| samples.sample("", value));
                });
            });
        }
    }
}
