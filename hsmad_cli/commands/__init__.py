"""The command line: one file per verb, shared options in `options`, what people read in `console`, files in `jobs`.

The pattern of a verb, here `hsmad double` in commands/double.py:

    def double(
        inputs: options.Inputs,
        output: options.Output = None,
        out_dir: options.OutDir = None,
        force: options.Force = False,
        as_json: options.Json = False,
        quiet: options.Quiet = False,
        verbose: options.Verbose = False,
    ) -> None:
        '''Make every sound twice as loud. (This docstring is the help text.)'''
        from hsmad_cli.files.audio import read_audio, write_audio     # heavy imports only in here

        console = Console("double", as_json, quiet, verbose)

        def work(job: Job) -> dict:
            audio = read_audio(job.source.content())
            clipped = write_audio(job.target, 2 * audio, force=job.replace)
            return {"seconds": audio.shape[1] / 44100, "clipped_samples": clipped}

        run_jobs(console, plan_jobs(inputs, output, out_dir, ".wav", force), work)

`plan_jobs` pairs every input with its output: `-`, the file of -o, or `<stem><suffix>` in --out-dir (or, for a sound on
a terminal, in the current folder). `run_jobs` refuses an existing output, calls `work`, names the input in its errors,
prints one line per finished file and, with --json, the returned dict; with several inputs it goes on after a bad one
and ends with PartialError. A verb with one input and a report for output does `console.report(dict)` instead.

A verb parses, makes one library call, and writes. It raises HsmadError and never prints an error or exits by itself;
what it says goes through `console` to stderr; stdout is for data. A verb is registered by one line in `app.py`.
"""
