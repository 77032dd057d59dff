// The one page, for the visitor that its cookie names.

import { cookies } from 'next/headers'

import { Chat } from '@/components/chat'
import { sessionOf, visitorOf } from '@/lib/session'

export default async function Page() {
  return <Chat visitor={visitorOf(await sessionOf(await cookies()))} />
}
