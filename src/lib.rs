//! Trains five small CIFAR-10 networks on libtorch and runs experiment matrices over them.
