//! Images of the user's own: read from folders of pictures, CIFAR-100's and IDX files, trained on, reported.

mod folders;
mod made;
mod official;
