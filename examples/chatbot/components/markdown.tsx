// The Markdown that models write, as React elements and never as HTML text. What is still being written
// (an open code block, half a table) is shown as far as it goes.

import type { ReactNode } from 'react'

/** `open`: the text still grows. */
export function Markdown({ text, open = false }: { text: string; open?: boolean }) {
  const lines = (open ? closed(text) : text).split('\n')
  return <div className="markdown">{blocks(lines).map((block, index) => render(block, index))}</div>
}

/** The text with its last marks closed, so that what is half written doesn't show its marks and then change. */
function closed(text: string): string {
  const at = Math.max(text.lastIndexOf('\n'), 0)
  if ((text.match(/^```/gm)?.length ?? 0) % 2 === 1) return text
  const line = text.slice(at).replace(/(?<!\S)[`*]+$|(?<=[^*])\*$/, '')
  const code = (line.split('`').length - 1) % 2 === 1 ? '`' : ''
  const strong = (`${line}${code}`.replace(/`[^`]*`/g, '').split('**').length - 1) % 2 === 1 ? '**' : ''
  return text.slice(0, at) + line + code + strong
}

type Block =
  | { kind: 'heading'; text: string }
  | { kind: 'paragraph'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'list'; ordered: boolean; items: { text: string; number: number | undefined }[] }
  | { kind: 'table'; rows: string[][] }

const bullet = /^\s*(?:[-*+]|(\d+)[.)])(?:\s+(.*))?$/

function blocks(lines: string[]): Block[] {
  const found: Block[] = []
  let index = 0
  while (index < lines.length) {
    const line = lines[index] ?? ''
    if (line.trim() === '') {
      index++
    } else if (line.startsWith('```')) {
      const end = lines.findIndex((other, at) => at > index && other.startsWith('```'))
      const last = end === -1 ? lines.length : end
      found.push({ kind: 'code', text: lines.slice(index + 1, last).join('\n') })
      index = last + 1
    } else if (/^#{1,6}\s/.test(line)) {
      found.push({ kind: 'heading', text: line.replace(/^#+\s+/, '') })
      index++
    } else if (line.startsWith('|')) {
      const end = endOf(lines, index, (other) => other.startsWith('|'))
      found.push({ kind: 'table', rows: lines.slice(index, end).filter((row) => !/^[|\s:-]+$/.test(row)).map(cells) })
      index = end
    } else if (bullet.test(line)) {
      const end = endOf(lines, index, (other) => bullet.test(other) || /^\s+\S/.test(other))
      found.push({ kind: 'list', ordered: /^\s*\d/.test(line), items: items(lines.slice(index, end)) })
      index = end
    } else {
      const end = endOf(lines, index, (other) => other.trim() !== '' && !/^(```|#{1,6}\s|\|)/.test(other) && !bullet.test(other))
      found.push({ kind: 'paragraph', text: lines.slice(index, end).join('\n') })
      index = end
    }
  }
  return found
}

function endOf(lines: string[], from: number, belongs: (line: string) => boolean): number {
  let end = from + 1
  while (end < lines.length && belongs(lines[end] ?? '')) end++
  return end
}

function cells(row: string): string[] {
  return row.replace(/^\||\|\s*$/g, '').split(/(?<!\\)\|/).map((cell) => cell.replaceAll('\\|', '|').trim())
}

function items(lines: string[]): { text: string; number: number | undefined }[] {
  const found: { text: string; number: number | undefined }[] = []
  for (const line of lines) {
    const match = bullet.exec(line)
    const last = found.at(-1)
    if (match !== null) found.push({ text: match[2] ?? '', number: match[1] === undefined ? undefined : Number(match[1]) })
    else if (last !== undefined) last.text += ` ${line.trim()}`
  }
  return found
}

function render(block: Block, key: number): ReactNode {
  switch (block.kind) {
    case 'heading':
      return <h3 key={key}>{inline(block.text)}</h3>
    case 'paragraph':
      return <p key={key}>{inline(block.text)}</p>
    case 'code':
      return (
        // What scrolls must be reachable by keyboard.
        <pre key={key} tabIndex={0}>
          <code>{block.text}</code>
        </pre>
      )
    case 'list': {
      const entries = block.items.map(({ text, number }, index) => <li key={index} value={number}>{inline(text)}</li>)
      return block.ordered ? <ol key={key}>{entries}</ol> : <ul key={key}>{entries}</ul>
    }
    case 'table': {
      const [heads = [], ...rows] = block.rows
      return (
        <div key={key} className="table" tabIndex={0}>
          <table>
            <thead>
              <tr>{heads.map((cell, index) => <th key={index}>{inline(cell)}</th>)}</tr>
            </thead>
            <tbody>
              {rows.map((row, at) => (
                <tr key={at}>{row.map((cell, index) => <td key={index}>{inline(cell)}</td>)}</tr>
              ))}
            </tbody>
          </table>
        </div>
      )
    }
  }
}

/** Code, strong, emphasis and links. Only addresses of the web become links. */
function inline(text: string): ReactNode[] {
  const found: ReactNode[] = []
  let at = 0
  for (const match of text.matchAll(/`([^`]+)`|\*\*(.+?)\*\*|(?<![\w*])\*([^\s*][^*]*)\*(?![\w*])|\[([^\]]+)\]\(([^)\s]+)\)/g)) {
    if (match.index > at) found.push(text.slice(at, match.index))
    const [whole, code, strong, emphasis, label, address] = match
    const key = match.index
    if (code !== undefined) found.push(<code key={key}>{code}</code>)
    else if (strong !== undefined) found.push(<strong key={key}>{inline(strong)}</strong>)
    else if (emphasis !== undefined) found.push(<em key={key}>{inline(emphasis)}</em>)
    else if (label !== undefined && /^https?:\/\//.test(address ?? '')) {
      found.push(<a key={key} href={address} rel="noreferrer noopener" target="_blank">{label}</a>)
    } else found.push(label ?? whole)
    at = match.index + whole.length
  }
  if (at < text.length) found.push(text.slice(at))
  return found
}
