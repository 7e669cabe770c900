"""Cases that tests of the rooms themselves show already."""

from __future__ import annotations

from .registry import elsewhere

GO_ON = "run the same command again"

CASES = (
    elsewhere(
        1, "the command is killed while a run is under way",
        "execution/local/test_engine.py::test_a_parent_that_is_killed_leaves_no_worker_behind",
        remains="finished runs, and the last epoch of the others; no process is left",
    ),
    elsewhere(
        1, "the same, and the command is given again",
        "training/test_run.py::test_a_command_that_is_killed_goes_on_where_it_was",
        remains="the run, with the numbers of an undisturbed one; nothing needs to be cleaned up",
        says="resumes after epoch",
    ),
    elsewhere(
        1, "a run is killed at any epoch, and amid any",
        "training/test_run.py::test_killed_at_every_epoch_and_amid_every_epoch_it_ends_as_if_undisturbed",
        remains="all but the epoch under way; afterwards the bytes of an undisturbed run",
    ),
    elsewhere(
        4, "a worker is killed once",
        "execution/local/test_engine.py::test_a_worker_that_is_killed_once_costs_nothing_but_its_epoch",
        remains="all but its epoch: the run goes on in a fresh process", says="resumes after epoch", code=0,
    ),
    elsewhere(
        4, "a worker is killed again and again",
        "execution/test_supervisor.py::test_a_run_that_dies_again_has_failed",
        remains="its last epoch, and the reason in failure.json; the other runs go on", code=1,
    ),
    elsewhere(
        5, "the kernel ends a worker for memory",
        "execution/test_supervisor.py::test_the_kernel_ends_a_worker_and_not_its_parent",
        remains="the parent and every other run; the run is tried again with nothing beside it",
    ),
    elsewhere(
        5, "torch, Python or the system has no memory for a run",
        "execution/test_supervisor.py::test_a_lack_of_memory_is_told_apart_and_the_run_tried_again",
        remains="the reason, told apart from other deaths",
    ),
    elsewhere(
        7, "`runtime.device: cuda` on a machine without CUDA",
        "cli/test_run.py::test_cuda_without_cuda_is_2_before_anything_is_written",
        remains="nothing new", code=2,
        says="runtime.device: cuda is not available here ({why}); use --set runtime.device=auto",
    ),
    elsewhere(
        8, "the file or pipe that the output goes to is full",
        "cli/test_entry.py::test_an_output_that_is_full_is_4",
        remains="as before", code=4, says="a file or the standard output: No space left on device; fix this, then "
        "run the same command again",
    ),
    elsewhere(
        11, "a checkpoint that is empty, a text, torch's own or of another run",
        "training/test_checkpoint.py::test_a_foreign_file_is_not_read",
        remains="the file, set aside; nothing of it was interpreted", says="{checkpoint} is damaged",
    ),
    elsewhere(
        11, "a checkpoint that would run a program when it is unpickled",
        "training/test_checkpoint.py::test_a_pickle_bomb_does_not_run_even_with_a_right_checksum",
        remains="the file, set aside; nothing of it has run",
        says="{checkpoint} is not a checkpoint of this version ({error})",
    ),
    elsewhere(
        12, "a report on results with damaged records",
        "report/test_build.py::test_damaged_files_are_named_and_the_rest_is_reported",
        remains="the report on all the others", code=3,
        says="{record}: is damaged and left out; to retrain the run: {command}",
    ),
    elsewhere(
        12, "a run's folder was copied under another name",
        "report/test_build.py::test_a_copied_run_is_named_and_counts_once",
        remains="both; the copy counts nowhere",
        says="{record}: is a copy of run {id} and is not counted; move {folder} elsewhere",
    ),
    elsewhere(
        13, "half an archive of CIFAR-10",
        "data/test_cifar.py::test_a_half_archive_is_named_and_fetched_again",
        remains="the right archive, fetched again",
    ),
    elsewhere(
        13, "an archive with other bytes, and no network",
        "data/test_cifar.py::test_a_broken_archive_without_network_is_named_with_both_hashes",
        remains="the archive as it is; it was never unpacked", code=3,
    ),
    elsewhere(
        13, "a file of CIFAR-10 of another checksum",
        "data/test_cifar.py::test_a_pickle_of_another_checksum_is_never_loaded",
        remains="the file as it is; nothing of it was unpickled", code=3,
    ),
    elsewhere(
        13, "a broken image in a folder",
        "data/test_imagefolder.py::test_a_broken_image_is_named", remains="no prepared images", code=3,
    ),
    elsewhere(
        13, "a class, a split or all images are missing",
        "data/test_imagefolder.py::test_what_is_missing", remains="no prepared images", code=3,
    ),
    elsewhere(
        14, "a download that stops, stalls, is an error page or other bytes",
        "core/test_download.py::test_a_bad_transfer_says_why_and_keeps_what_was_there",
        remains="what was there before; no part of a file", code=3,
    ),
    elsewhere(
        14, "a redirect away from https",
        "core/test_download.py::test_only_https_is_spoken", remains="nothing new", code=3,
        says="refused to download {url}: only https is accepted",
    ),
    elsewhere(
        14, "two processes prepare the same images",
        "data/test_cache.py::test_of_two_processes_one_decodes_and_the_other_waits",
        remains="one folder of images", says="waiting for another process that prepares the same images",
    ),
    elsewhere(
        14, "a process is killed while it prepares images",
        "data/test_cache.py::test_a_process_killed_while_it_prepares_holds_nobody_up",
        remains="the next process prepares them",
    ),
    elsewhere(
        15, "no network and no images",
        "cli/test_run.py::test_missing_data_without_a_network_is_3_soon_and_names_the_ways_on",
        remains="nothing new", code=3, says="{archive}: missing, and {reason}",
    ),
    elsewhere(
        15, "no network, and images that were prepared before",
        "cli/test_run.py::test_a_cache_that_is_good_needs_no_network",
        remains="the results as they were", code=0, says="2 runs: 2 already done",
    ),
    elsewhere(
        16, "a file of weights that is not there",
        "cli/test_run.py::test_missing_weights_are_3_and_nothing_is_written",
        remains="nothing new", code=3,
        says="{weights}: cannot be read (No such file or directory); check the path in the settings",
    ),
    elsewhere(
        16, "a file that holds no weights",
        "cli/test_run.py::test_weights_that_are_none_are_3", remains="nothing new", code=3,
    ),
    elsewhere(
        16, "weights of another model",
        "models/test_weights.py::test_weights_of_another_model_are_named_key_by_key",
        remains="nothing new", code=3,
        says="{weights}: does not fit {model}: {keys}; use weights of this model, or choose the model of these "
        "weights",
    ),
    elsewhere(
        17, "a loss that is not finite",
        "cli/test_run.py::test_a_diverged_run_is_a_result_with_a_reason",
        remains="a record with the reason and no scores; it is not tried again", code=5,
        says="the loss was not finite in epoch {epoch} at step {step}; the last finite loss was {loss}",
    ),
    elsewhere(
        17, "weights or a validation loss that are not finite while the training loss is",
        "training/test_loop.py::test_validation_that_is_not_finite_ends_the_run_though_training_is",
        remains="a record with the reason", says="the validation loss was not finite after epoch {epoch}",
    ),
    elsewhere(
        17, "a point of a sweep that diverges",
        "cli/test_sweep_report.py::test_a_point_that_diverged_is_counted_and_never_a_winner",
        remains="its record; it is counted and never a winner", code=0, says="search: 2 runs, 0 failed, 1 diverged",
    ),
    elsewhere(
        18, "a run that never ends its epoch, and Ctrl-C twice",
        "execution/local/test_engine.py::test_ctrl_c_twice_stops_at_once_and_keeps_the_last_whole_epoch",
        remains="its last whole epoch; no process is left", code=130,
    ),
    elsewhere(
        18, "a run that is stuck, ignores signals or is stopped, with --run-timeout",
        "execution/test_supervisor.py::test_a_run_that_is_stuck_is_ended_and_says_where",
        remains="its last whole epoch, and where it was stuck", code=1,
    ),
    elsewhere(
        21, "Ctrl-C once",
        "execution/local/test_engine.py::test_ctrl_c_once_keeps_the_epoch_and_says_how_to_go_on",
        remains="the epoch under way, to its end", code=130,
        says="stopping after the current epoch; press Ctrl-C again to stop immediately",
    ),
    elsewhere(
        21, "SIGTERM while an epoch takes longer than a service manager waits",
        "execution/local/test_engine.py::test_sigterm_ends_within_10_seconds_though_the_epoch_is_longer",
        remains="the last whole epoch; no process is left", code=143,
    ),
    elsewhere(
        22, "the reader of the output goes away (`| head`)",
        "cli/test_entry.py::test_work_goes_on_when_its_reader_goes_away",
        remains="all results: the work goes on", code=0,
    ),
    elsewhere(
        22, "the output is closed",
        "cli/test_entry.py::test_a_closed_output_is_no_error", remains="as with an output", code=0,
    ),
    elsewhere(
        25, "forty kinds of broken YAML", "config/io/test_bad_files.py::test_message", remains="nothing new", code=2,
    ),
    elsewhere(
        25, "any bytes at all",
        "config/io/test_strict_yaml.py::test_any_bytes_give_settings_or_one_clear_error", remains="nothing new", code=2,
    ),
    elsewhere(
        26, "one letter of any key is wrong",
        "config/io/test_generated.py::test_one_letter_typos_of_keys", remains="nothing new", code=2,
    ),
    elsewhere(
        27, "each setting with a value of each wrong type",
        "config/io/test_generated.py::test_wrong_types_are_refused", remains="nothing new", code=2,
    ),
    elsewhere(
        28, "each number just beyond its bounds", "config/io/test_generated.py::test_bounds",
        remains="nothing new", code=2,
    ),
    elsewhere(
        30, "a sweep of more than 10,000 points",
        "studies/test_sweep.py::test_more_than_ten_thousand_points_must_be_meant", remains="nothing new", code=2,
        says="{sweep}: {points} points, more than 10,000; make it smaller, or add --yes",
    ),
    elsewhere(
        32, "a node of a Ray cluster is lost in mid-sweep",
        "execution/ray/test_engine.py::test_a_sweep_whose_node_is_lost_gives_the_records_of_one_machine",
        remains="the records of one machine, bit for bit; its runs go on elsewhere", code=0,
    ),
    elsewhere(
        32, "the driver of a Ray cluster is stopped, then killed",
        "execution/ray/test_engine.py::test_a_driver_that_is_stopped_or_killed_goes_on_where_it_was",
        remains="the last epoch of each run; the same command goes on",
    ),
    elsewhere(
        32, "no node has what a run asks for",
        "execution/ray/test_engine.py::test_a_run_that_fits_on_no_node_says_so_and_can_be_stopped",
        remains="nothing new",
    ),
    elsewhere(
        39, "other programs use all cores, and the command has other runs to make too",
        "cli/test_same_bits.py::test_among_others_on_two_workers_beside_busy_programs",
        remains="the bits of a run alone on an idle machine",
    ),
    elsewhere(
        39, "a run is killed before its first checkpoint, and made again beside busy programs",
        "cli/test_same_bits.py::test_killed_before_its_first_checkpoint_and_begun_again_under_load",
        remains="the bits of a run that was left alone",
    ),
    elsewhere(
        35, "a run was begun by an earlier version",
        "training/backends/kernels/test_same_bits.py::test_a_run_begun_by_an_earlier_version_is_resumed_with_a_note",
        remains="the run, whose record notes the other order of sums",
    ),
    elsewhere(
        36, "scripts, templates, ten thousand letters and right-to-left words as labels, in a browser",
        "report/test_browser.py::test_hostile_words_are_shown_as_they_are",
        remains="the page, with those words on it as they are",
    ),
    elsewhere(
        30, "points that mean the same",
        "studies/test_sweep.py::test_equal_points_are_merged_and_counted", remains="each of them once",
    ),
    elsewhere(
        31, "the images change after the plan was made",
        "training/test_run_identity.py::test_images_that_changed_after_the_plan_are_refused",
        remains="nothing new: the run is not trained on others", code=3,
    ),
    elsewhere(
        31, "the source of a model changes after the plan was made",
        "training/test_run_identity.py::test_a_source_that_changed_after_the_plan_is_refused",
        remains="nothing new", code=2,
        says="{key}: the source or weights of {model} changed since this command began; run it again to use the "
        "current files",
    ),
    elsewhere(
        36, "labels with HTML, Markdown, escape codes and right-to-left marks in the report",
        "report/test_markdown.py::test_hostile_labels_stay_inside_their_cell",
        remains="a report that shows them as text",
    ),
    elsewhere(
        36, "the same on a chart",
        "report/test_charts.py::test_hostile_labels_are_drawn_inside_the_picture", remains="a chart of the same size",
    ),
    elsewhere(
        36, "the same on a terminal",
        "cli/test_run.py::test_a_label_is_shown_and_never_obeyed", remains="the records as they were", code=0,
    ),
    elsewhere(
        36, "a table for a spreadsheet with cells that begin as formulas do",
        "core/test_text.py::test_csv_cell_is_never_a_formula", remains="a table of text",
    ),
    elsewhere(
        37, "a zip whose headers lie about sizes, by any method of packing",
        "data/test_zip_members.py::test_a_member_that_unpacks_to_more_takes_no_memory",
        remains="nothing new; at most 64 MiB are unpacked", says="it unpacks to more than {number} bytes", code=3,
    ),
    elsewhere(
        38, "the folder of the compiled kernels, or one above it, may be written by others",
        "training/backends/kernels/test_compiler.py::test_a_folder_that_others_can_write_is_not_used",
        remains="kernels in a private folder for temporary files",
    ),
    elsewhere(
        38, "another user puts a library with a matching checksum there, again and again",
        "training/backends/kernels/test_compiler.py::test_a_library_of_another_user_never_runs",
        remains="that library, which never runs",
    ),
    elsewhere(
        38, "no folder is private",
        "training/backends/kernels/test_compiler.py::test_without_any_private_folder_there_is_a_reason",
        remains="nothing new: torch's kernels make the steps, and the record has the reason",
        says="may be changed by others; set CIFAR_LAB_CACHE to a folder that only you can write",
    ),
    elsewhere(
        38, "a results folder of others with damage, whose settings name a model file",
        "cli/test_inspect.py::test_before_a_run_is_suggested_its_code_is_named",
        remains="as after `verify`; nothing of the model file has run", code=3,
        says="note: `cifar-lab run` executes the model code that a settings.yaml names; if these results came from "
        "others, read settings.yaml and that code first",
    ),
    elsewhere(
        20, "a second command needs a run that another command trains",
        "execution/test_several_commands.py::"
        "test_a_held_run_is_skipped_or_awaited_never_discarded_and_free_at_once_after_a_kill",
        remains="one result; `run` skips the run and counts it, `run --wait` waits, and resumes it after a kill",
        says="held by another command and skipped; with --wait, the command waits for them", code=0,
    ),
    elsewhere(
        20, "two commands make the same runs at the same time",
        "execution/test_several_commands.py::test_two_commands_at_once_share_the_runs_and_equal_one",
        remains="each run once, with the bytes of a single command", code=0,
    ),
    elsewhere(
        20, "two, four or eight sweeps at once",
        "execution/test_several_commands.py::test_many_sweeps_at_once_share_the_runs_and_equal_one",
        remains="each run once; runs, plan, history and winners with the bytes of a single command", code=0,
    ),
    elsewhere(
        20, "two, four or eight sweeps at once, of which some are killed and started again",
        "execution/test_several_commands.py::test_sweeps_that_are_killed_and_started_again_make_each_run_once",
        remains="the same; an epoch that was cut short is trained again", code=0,
    ),
    elsewhere(
        20, "an earlier version of cifar-lab writes to the folder",
        "store/test_writers.py::test_a_version_that_writes_alone_keeps_others_out_and_is_kept_out",
        remains="what that version writes", code=4,
        says="is using this folder, and its version of cifar-lab writes alone; wait",
    ),
    elsewhere(
        20, "several commands replace a document at the same time",
        "store/test_writers.py::test_documents_that_are_read_and_replaced_under_the_lock_lose_nothing",
        remains="every change, and a valid checksum and index",
    ),
    elsewhere(
        21, "one of several commands is stopped",
        "execution/test_several_commands.py::test_a_stop_of_one_command_leaves_the_others_alone",
        remains="the last epoch of its runs; the others are not disturbed", code=130,
        says="run the same command again (without --force) to resume",
    ),
    elsewhere(
        21, "SIGUSR1 announces the time limit of a cluster job",
        "execution/test_job_array.py::test_tasks_share_a_folder_and_one_that_nears_its_limit_is_queued_again",
        remains="the last epoch; the same command resumes", code=124,
        says="SIGUSR1 announced the end of the job: stopping after the current epoch",
    ),
    elsewhere(
        1, "an attack is stopped after any batch of images, again and again",
        "training/attacks/test_make_attacks.py::test_an_interrupted_attack_continues_to_the_record_of_an_uninterrupted_one",
        remains="the outcomes so far; the same command ends with the record of an undisturbed attack",
    ),
    elsewhere(
        12, "a damaged record of an attack",
        "store/test_attack_records.py::test_every_byte_that_changes_is_noticed_and_verify_sets_the_file_aside",
        remains="the run; the record of the attack is set aside as .damaged",
        says="is damaged; set aside as {name}; the same `cifar-lab attack` command repeats the attack", code=3,
    ),
    elsewhere(
        16, "damaged weights of a run to attack", "cli/test_attack.py::test_damaged_weights_are_3",
        remains="nothing new", says="is damaged (its SHA-256 differs from the record)", code=3,
    ),
    elsewhere(
        26, "an unknown attack, or an unknown setting of one",
        "cli/test_attack.py::test_a_wrong_name_setting_or_run_is_2_and_changes_nothing",
        remains="nothing new", says="did you mean {name}?", code=2,
    ),
)  # fmt: skip
