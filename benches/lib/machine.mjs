// Where and with what the figures were taken.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const benches = fileURLToPath(new URL('../', import.meta.url));

export function machine() {
  const processors = os.cpus();
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    // One-minute load average before the run: anything near the number of cores spoils the figures.
    loadBefore: os.loadavg()[0],
  };
}

/** {[package]: version}, read from what is installed. */
export function versionsOf(contenders) {
  const versions = {};
  for (const { package: name } of contenders) {
    const file = name === 'holdfast' ? `${root}package.json` : `${benches}node_modules/${name}/package.json`;
    versions[name] = JSON.parse(readFileSync(file, 'utf8')).version;
  }
  return versions;
}

export function machineInWords({ processor, cores, memoryGb, system }) {
  return `${processor}, ${cores} cores, ${memoryGb} GB, ${system}`;
}

export function versionsInWords(versions) {
  return Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ');
}

/** Bytes of the native file built here, or null when there is none. */
export function nativeFileBytes() {
  for (const folder of [root, `${root}dist/`]) {
    if (!existsSync(folder)) continue;
    const sizes = readdirSync(folder)
      .filter((name) => name.endsWith('.node'))
      .map((name) => statSync(folder + name).size);
    if (sizes.length > 0) return Math.max(...sizes);
  }
  return null;
}
