// Child processes: one request in the arguments, one line of JSON back, and an end to every one of them.
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Runs `lib/<script>` in a fresh Node and promises its answer. */
export function ask(script, message, { limitMs }) {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [file, JSON.stringify(message)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: childEnvironment(),
  });
  return new Promise((resolve, reject) => {
    let output = '';
    let complaint = '';
    let late = false;
    // When the run itself is ended, the child goes with it.
    const endWithUs = () => child.kill('SIGKILL');
    process.once('exit', endWithUs);
    const limit = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, limitMs);
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (complaint += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      process.removeListener('exit', endWithUs);
      const marked = output.split('\n').find((line) => line.startsWith(MARK));
      if (marked !== undefined && code === 0) resolve(JSON.parse(marked.slice(MARK.length)));
      else if (late) reject(new Error(`no answer within ${limitMs / 1000} s`));
      else reject(new Error(reasonIn(complaint) ?? `ended with ${signal ?? `code ${code}`} and no answer`));
    });
  });
}

/** In the child: what was asked. */
export function request() {
  return JSON.parse(process.argv[2]);
}

/** In the child: the answer, and the end; a client that would hold the process open may not hold up the run. */
export function answer(result) {
  writeSync(1, `${MARK}${JSON.stringify(result)}\n`);
  process.exit(0);
}

// Node prints where an error was thrown before it says what it was.
function reasonIn(complaint) {
  return /^\w*Error\b.*/m.exec(complaint)?.[0] ?? (complaint.trim().split('\n')[0] || null);
}

const MARK = 'answer: ';

// Settings of the shell (REDIS_URL, NODE_OPTIONS...) must not reach one contender and not another.
function childEnvironment() {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'LANG', 'SystemRoot'];
  const environment = { NODE_ENV: 'production' };
  for (const name of kept) {
    if (process.env[name] !== undefined) environment[name] = process.env[name];
  }
  return environment;
}
