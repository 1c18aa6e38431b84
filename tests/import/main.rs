//! Images of the user's own: read from folders of pictures, CIFAR-100's and IDX files, trained on, reported.

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
mod folders;
mod made;
mod official;
