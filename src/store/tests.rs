use std::fs;

use super::layout::{CONFIG, HISTORY, LOCK, LOG};
use super::*;
use crate::record::Outcome;

fn identity() -> Identity {
    let config = crate::spec::defaults("lenet5").unwrap();
    Identity { id: crate::spec::trial_id(&config, 0), seed: 0, config }
}

fn outcome() -> Outcome {
    Outcome { status: crate::record::Status::Diverged, ..Outcome::failed(String::new()) }
}

#[test]
fn a_trial_is_claimed_once_and_never_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let claim = store.claim(&identity()).unwrap().unwrap();
    assert!(store.claim(&identity()).unwrap().is_none());
    claim.finish(&outcome(), &[], None).unwrap();
    assert!(store.claim(&identity()).unwrap().is_none());
    assert!(!store.work_dir(&identity().id).exists());
    store.forget(&identity().id).unwrap();
    assert!(store.claim(&identity()).unwrap().is_some());
}

#[test]
fn many_threads_finish_a_trial_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    for _ in 0..30 {
        let try_once = || match store.claim(&identity()).unwrap() {
            Some(claim) => claim.finish(&outcome(), &[], None).map(|()| 1).unwrap(),
            None => 0,
        };
        let finished: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(try_once)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(finished, 1);
        store.forget(&identity().id).unwrap();
    }
}

#[test]
fn a_reopened_trial_has_its_checkpoint_and_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let claim = store.claim(&identity()).unwrap().unwrap();
    claim.write_checkpoint(b"epoch 35", &[]).unwrap();
    claim.finish(&outcome(), &[], None).unwrap();
    store.reopen(&identity().id).unwrap();
    assert!(store.load(&identity().id).unwrap().is_none());
    let claim = store.claim(&identity()).unwrap().unwrap();
    assert_eq!(claim.read_checkpoint().unwrap().unwrap(), b"epoch 35");
    assert!(!store.work_dir(&identity().id).join(RESULT).exists());
}

#[test]
fn a_trial_that_another_sweep_has_begun_is_not_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    store.claim(&identity()).unwrap().unwrap().finish(&outcome(), &[], None).unwrap();
    let result = store.trial_dir(&identity().id).join(RESULT);
    let aside = folder.path().join("aside");
    fs::rename(&result, &aside).unwrap();
    let claim = store.claim(&identity()).unwrap().unwrap();
    fs::rename(&aside, &result).unwrap();
    store.reopen(&identity().id).unwrap();
    assert!(!store.is_stored(&identity().id));
    claim.write_checkpoint(b"theirs", &[]).unwrap();
}

#[test]
fn a_folder_without_a_result_is_no_stored_trial() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let torn = store.trial_dir(&identity().id);
    fs::create_dir(&torn).unwrap();
    fs::write(torn.join(HISTORY), b"half").unwrap();
    assert!(store.load(&identity().id).unwrap().is_none());
    store.claim(&identity()).unwrap().unwrap().finish(&outcome(), &[], None).unwrap();
    assert!(store.load(&identity().id).unwrap().is_some());
}

#[test]
fn no_link_in_a_trial_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let (work, victim) = (store.work_dir(&identity().id), folder.path().join("victim"));
    fs::create_dir(&work).unwrap();
    for name in [LOCK, LOG, CONFIG] {
        std::os::unix::fs::symlink(&victim, work.join(name)).unwrap();
    }
    assert!(store.claim(&identity()).is_err());
    fs::remove_file(work.join(LOCK)).unwrap();
    assert!(store.claim(&identity()).unwrap().unwrap().log().is_err());
    assert!(!victim.exists());
}

/// A lock cannot be lost on a local file system, but its file can be another process's by now.
#[test]
fn a_claim_whose_lock_was_lost_writes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let lost = store.claim(&identity()).unwrap().unwrap();
    fs::remove_file(store.work_dir(&identity().id).join(LOCK)).unwrap();
    let taken_over = store.claim(&identity()).unwrap().unwrap();
    taken_over.write_checkpoint(b"theirs", &[]).unwrap();
    assert!(is_lost(&lost.write_checkpoint(b"ours", &[]).unwrap_err()));
    assert_eq!(taken_over.read_checkpoint().unwrap().unwrap(), b"theirs");
    assert!(is_lost(&lost.finish(&outcome(), &[], None).unwrap_err()));
    assert!(!store.is_stored(&identity().id));
    taken_over.finish(&outcome(), &[], None).unwrap();
    assert!(store.is_stored(&identity().id));
}
