// An authority made for the run, and certificates of it: one that is good, one that expired.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificates {
  ca: string
  cert: string
  /** For the same names and the same key, and long past its time. */
  expired: string
  key: string
}

const AUTHORITY = `
[ca]
default_ca = tests
[tests]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = names
[names]
commonName = supplied
`

/** Files in this folder: for localhost, redis.test and 127.0.0.1. */
export function makeCertificates(folder: string): Certificates {
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  const openssl = (...args: string[]): void => {
    const { error, status, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
    if (error !== undefined) {
      throw new Error('the TLS tests need the openssl command: install it with the package manager of your system')
    }
    if (status !== 0) throw new Error(`openssl ${args[0]} failed:\n${stderr}`)
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  write('names', 'subjectAltName=DNS:localhost,DNS:redis.test,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n')
  write('authority', AUTHORITY)
  write('index', '')
  write('serial', '1000\n')
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=an authority for tests', '-keyout', 'ca.key', '-out', 'ca.pem')
  openssl('req', ...newKey, '-subj', '/CN=redis.test', '-keyout', 'server.key', '-out', 'server.csr')
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names']
  openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.pem')
  const past = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z', '-extfile', 'names', '-notext', '-batch']
  openssl('ca', '-config', 'authority', '-cert', 'ca.pem', '-keyfile', 'ca.key', ...past, '-in', 'server.csr', '-out', 'expired.pem')
  const path = (name: string): string => join(folder, name)
  return { ca: path('ca.pem'), cert: path('server.pem'), expired: path('expired.pem'), key: path('server.key') }
}
