// What the server's INFO says, as far as health reports show it.

/** The shown part. */
export interface ServerInfo {
  memory?: string
  version?: string
  uptime?: number
  keyspace?: Record<string, string>
}

/** Reads the answer of INFO, `name:value` by line; what is missing there is left out. */
export function readInfo(answer: unknown): ServerInfo {
  if (typeof answer !== 'string') return {}
  const fields = new Map<string, string>()
  const keyspace: Record<string, string> = {}
  for (const line of answer.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon <= 0 || line.startsWith('#')) continue
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1)
    if (/^db\d+$/.test(name)) keyspace[name] = value
    else fields.set(name, value)
  }
  const info: ServerInfo = { keyspace }
  const memory = fields.get('used_memory_human')
  // Valkey also names the Redis version that it is compatible with; its own is the truth.
  const version = fields.get('valkey_version') ?? fields.get('redis_version')
  const uptime = Number(fields.get('uptime_in_seconds'))
  if (memory !== undefined) info.memory = memory
  if (version !== undefined) info.version = version
  if (Number.isFinite(uptime)) info.uptime = uptime
  return info
}
