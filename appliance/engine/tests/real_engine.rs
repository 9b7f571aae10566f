//! The launcher and the llama-server adapter against the real engine, in its real sandbox.
//!
//! Skips, saying so, where the engine or the demonstration model is not there. Each test starts its own engine.

use freehold_engine::{
    Answer, AnswerPart, Chat, Completion, Embed, Engine, EngineError, EngineProcess, Exit, Finish, LaunchSpec,
    LlamaServer, MemoryBound, Message, ModelFile, ProcessState, Purpose, Role, Sampling, UserNamespace,
};
use futures::StreamExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The engine's root and a model; `None` after saying what is missing.
fn engine_and_model() -> Option<(PathBuf, PathBuf)> {
    let root = repository().join("target/engine/llama-cpu");
    let model = std::env::var_os("FREEHOLD_TEST_MODEL").map_or_else(
        || repository().join("tests/demonstration-model/weights/freehold-guide.gguf"),
        PathBuf::from,
    );
    for path in [&root.join("usr/bin/llama-server"), &model] {
        if !path.exists() {
            println!("skipped: {} is not here", path.display());
            return None;
        }
    }
    Some((root, model))
}

fn spec(world: &Path, purpose: Purpose) -> Option<LaunchSpec> {
    let (root, model) = engine_and_model()?;
    Some(LaunchSpec {
        name: "test".to_owned(),
        root,
        files: vec![ModelFile {
            source: model,
            name: "model.gguf".to_owned(),
        }],
        open: "model.gguf".to_owned(),
        purpose,
        socket_folder: world.join("engine"),
        context: 256,
        slots: 2,
        threads: 1,
        memory_bytes: 1 << 30,
        devices: vec![],
        log: world.join("engine.log"),
    })
}

fn chat(words: &str, max_tokens: u32) -> Chat {
    Chat {
        messages: vec![Message {
            role: Role::User,
            content: words.to_owned(),
        }],
        sampling: Sampling {
            max_tokens: Some(max_tokens),
            temperature: Some(0.0),
            ..Sampling::default()
        },
    }
}

#[tokio::test]
async fn an_engine_starts_answers_the_same_twice_and_is_gone_in_two_seconds() {
    let world = tempfile::tempdir().unwrap();
    let Some(spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    let mut process = EngineProcess::start(&spec).unwrap();
    let server = process.ready(LIMIT).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = Answer::collect(server.chat(chat("What is a box?", 8)).await.unwrap(), 1 << 20)
            .await
            .unwrap();
        assert!(answer.usage.prompt_tokens > 0 && answer.usage.answer_tokens > 0);
        assert!(answer.finish == Finish::Length || answer.usage.answer_tokens <= 8);
        answers.push(answer.text);
    }
    assert_eq!(answers[0], answers[1], "greedy answers differ");
    let raw = Completion {
        prompt: "A box".to_owned(),
        sampling: chat("", 4).sampling,
    };
    let completed = Answer::collect(server.complete(raw).await.unwrap(), 1 << 20)
        .await
        .unwrap();
    assert!(completed.usage.answer_tokens <= 4);
    let pid = process.pid();
    let told = Instant::now();
    assert_eq!(process.stop().await, Exit::Stopped);
    assert!(told.elapsed() < Duration::from_secs(2), "took {:?}", told.elapsed());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(matches!(server.health().await, Err(EngineError::Missing { .. })));
}

// promise S-40
#[tokio::test]
async fn the_engine_has_no_network_and_only_its_files() {
    let world = tempfile::tempdir().unwrap();
    let Some(spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    let mut process = EngineProcess::start(&spec).unwrap();
    process.ready(LIMIT).await.unwrap();
    let engine = *freehold_engine::tree::descendants(process.pid()).last().unwrap();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{engine}/{name}")).unwrap();
    let interfaces: Vec<String> = read("net/dev")
        .lines()
        .skip(2)
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect();
    assert_eq!(interfaces, ["lo"], "an engine has no network");
    let status = read("status");
    for wanted in [
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(wanted), "{wanted} in {status}");
    }
    assert_eq!(
        read("environ")
            .split('\0')
            .filter(|one| !one.is_empty() && !one.starts_with("PWD="))
            .count(),
        0
    );
    let inside = |path: &str| format!("/proc/{engine}/{}/{path}", "root");
    let models: Vec<_> = std::fs::read_dir(inside("models"))
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    assert_eq!(models, ["model.gguf"]);
    assert!(!Path::new(&inside("etc/shadow")).exists() && !Path::new(&inside("home")).exists());
    let limits = read("limits");
    let file_size = limits.lines().find(|line| line.starts_with("Max file size")).unwrap();
    assert_eq!(
        file_size.split_whitespace().nth(3),
        Some("1"),
        "the engine's folder must not fill the disk"
    );
    if process.user_namespace() == UserNamespace::Own {
        assert_ne!(
            std::fs::read_link(format!("/proc/{engine}/ns/user")).unwrap(),
            std::fs::read_link("/proc/self/ns/user").unwrap()
        );
    }
    for namespace in ["net", "pid", "mnt", "ipc", "uts"] {
        let [ours, its] = [
            format!("/proc/self/ns/{namespace}"),
            format!("/proc/{engine}/ns/{namespace}"),
        ]
        .map(|path| std::fs::read_link(path).unwrap());
        assert_ne!(ours, its, "{namespace}");
    }
    process.stop().await;
}

#[tokio::test]
async fn an_engine_that_wants_more_memory_than_its_bound_is_ended_and_says_why() {
    let world = tempfile::tempdir().unwrap();
    let Some(mut spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    spec.memory_bytes = 4 << 20;
    let mut process = EngineProcess::start(&spec).unwrap();
    println!("memory is bounded by: {}", process.bounds().memory);
    let ended = tokio::time::timeout(LIMIT, process.ended()).await.unwrap();
    assert_eq!(ended, Exit::MemoryBound { bound: 4 << 20 });
    assert_eq!(process.state(), ProcessState::Ended(ended));
    let refused = process.ready(LIMIT).await.unwrap_err();
    assert_eq!(refused.code(), "engine.ended");
    assert!(matches!(
        process.bounds().memory,
        MemoryBound::Cgroup | MemoryBound::Watched
    ));
}

#[tokio::test]
async fn an_engine_that_is_killed_ends_with_its_signal_and_its_door_is_missing() {
    let world = tempfile::tempdir().unwrap();
    let Some(spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    let mut process = EngineProcess::start(&spec).unwrap();
    let server = process.ready(LIMIT).await.unwrap();
    let engine = *freehold_engine::tree::descendants(process.pid()).last().unwrap();
    freehold_engine::tree::signal(&[engine], rustix::process::Signal::KILL);
    assert_eq!(
        tokio::time::timeout(LIMIT, process.ended()).await.unwrap(),
        Exit::Signal(9)
    );
    assert_eq!(
        server.chat(chat("hello", 1)).await.err().unwrap().code(),
        "engine.missing"
    );
    // The stale socket of the killed one does not keep the next from starting, even below a path too long for an address.
    let mut again = spec.clone();
    again.socket_folder = world.path().join("long-".repeat(30)).join("engine");
    std::fs::create_dir_all(&again.socket_folder).unwrap();
    std::fs::write(again.socket(), b"").unwrap();
    let mut second = EngineProcess::start(&again).unwrap();
    let server = second.ready(LIMIT).await.unwrap();
    assert!(server.chat(chat("hello", 1)).await.is_ok());
}

#[tokio::test]
async fn a_dropped_answer_frees_the_engine_for_the_next() {
    let world = tempfile::tempdir().unwrap();
    let Some(mut spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    spec.slots = 1;
    let mut process = EngineProcess::start(&spec).unwrap();
    let server = process.ready(LIMIT).await.unwrap();
    for _ in 0..10 {
        let mut stream = server.chat(chat("Tell me everything.", 200)).await.unwrap();
        assert!(stream.next().await.is_some_and(|part| part.is_ok()));
    }
    let last = server.chat(chat("hello", 2));
    let last = tokio::time::timeout(LIMIT, last).await.unwrap().unwrap();
    assert!(Answer::collect(last, 1 << 20).await.is_ok());
}

#[tokio::test]
async fn too_long_a_prompt_and_too_many_requests_are_refused_by_code() {
    let world = tempfile::tempdir().unwrap();
    let Some(spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    let mut process = EngineProcess::start(&spec).unwrap();
    let server = process.ready(LIMIT).await.unwrap();
    let refused = server.chat(chat(&"word ".repeat(4000), 1)).await.err().unwrap();
    assert_eq!(refused.code(), "engine.context_exceeded");
    let asked = (0..freehold_engine::door::MAX_REQUESTS + 1).map(|_| server.chat(chat("hello", 20)));
    let answers = futures::future::join_all(asked).await;
    let busy = answers
        .iter()
        .filter(|one| matches!(one, Err(EngineError::Busy { .. })))
        .count();
    assert!(
        busy >= 1 && answers.iter().any(Result::is_ok),
        "{busy} of {} were refused",
        answers.len()
    );
}

#[tokio::test]
async fn an_embeddings_engine_gives_vectors_in_the_order_of_its_texts() {
    let world = tempfile::tempdir().unwrap();
    let Some(spec) = spec(world.path(), Purpose::Embeddings) else {
        return;
    };
    let mut process = EngineProcess::start(&spec).unwrap();
    let server = process.ready(LIMIT).await.unwrap();
    let texts = vec!["a box".to_owned(), "a console".to_owned(), "a box".to_owned()];
    let made = server.embed(Embed { texts }).await.unwrap();
    assert_eq!(made.vectors.len(), 3);
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0f32, f32::max) < 1e-3;
    assert!(
        near(&made.vectors[0], &made.vectors[2]),
        "the same text gives the same vector"
    );
    assert!(!near(&made.vectors[0], &made.vectors[1]));
    assert!(made.usage.prompt_tokens > 0);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = tempfile::tempdir().unwrap();
    let Some(spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    let mut no_root = spec.clone();
    no_root.root = world.path().join("nowhere");
    assert_eq!(EngineProcess::start(&no_root).unwrap_err().code(), "engine.missing");
    let mut no_file = spec.clone();
    no_file.files[0].source = world.path().join("nothing.gguf");
    let refused = EngineProcess::start(&no_file).unwrap_err();
    assert_eq!(refused.code(), "engine.model_file");
    assert!(refused.to_string().contains("nothing.gguf"));
    std::fs::write(world.path().join("nothing.gguf"), b"GGUF but not really").unwrap();
    let mut process = EngineProcess::start(&no_file).unwrap();
    let refused = process.ready(LIMIT).await.unwrap_err();
    assert_eq!(refused.code(), "engine.ended", "{refused}");
    assert!(refused.to_string().contains("model"), "{refused}");
}

#[tokio::test]
async fn an_answer_stream_says_text_and_then_its_end() {
    let world = tempfile::tempdir().unwrap();
    let Some(spec) = spec(world.path(), Purpose::Chat) else {
        return;
    };
    let mut process = EngineProcess::start(&spec).unwrap();
    let server: LlamaServer = process.ready(LIMIT).await.unwrap();
    let parts: Vec<_> = server
        .chat(chat("hello", 5))
        .await
        .unwrap()
        .map(Result::unwrap)
        .collect()
        .await;
    let ends = parts
        .iter()
        .filter(|part| matches!(part, AnswerPart::End { .. }))
        .count();
    assert!(ends == 1 && matches!(parts.last(), Some(AnswerPart::End { .. })));
}
