// The badge of an answer.

import type { AnswerSource } from '@/lib/chat/events'

const words: Record<AnswerSource, { label: string; title: string }> = {
  model: { label: 'Model', title: 'Made by the model just now' },
  redis: { label: 'Redis', title: 'Asked before: the answer was kept in Redis' },
  near: { label: 'Redis', title: 'Asked before: a copy in this process of the answer that Redis keeps' },
  memory: { label: 'Memory', title: 'Asked before: the answer was kept in this process’ memory' },
}

/** Where an answer came from. */
export function Badge({ source, model }: { source: AnswerSource; model?: string | undefined }) {
  const { label, title } = words[source]
  return (
    <span className="badge" data-source={source} data-testid="badge" title={title}>
      <span className="dot" aria-hidden="true" />
      {label}
      {source === 'model' && model !== undefined && <span className="badge-model">{model}</span>}
    </span>
  )
}
