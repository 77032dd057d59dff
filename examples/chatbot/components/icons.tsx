// The few icons of the page, drawn with the colour of the text around them.

import type { ReactNode } from 'react'

function Icon({ children, size = 16 }: { children: ReactNode; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {children}
    </svg>
  )
}

export const AnchorIcon = () => (
  <Icon size={18}>
    <circle cx="12" cy="5" r="2.4" />
    <path d="M12 7.6V21M8 11h8M4.5 14c.6 4.2 3.5 7 7.5 7s6.9-2.8 7.5-7" />
  </Icon>
)
export const SendIcon = () => <Icon size={18}><path d="M12 19V5M5.5 11.5 12 5l6.5 6.5" /></Icon>
export const StopIcon = () => <Icon size={18}><rect x="7" y="7" width="10" height="10" rx="1.5" fill="currentColor" /></Icon>
export const AgainIcon = () => <Icon size={13}><path d="M20 11a8 8 0 1 0-.9 4.7M20 5v6h-6" /></Icon>
export const NewIcon = () => <Icon><path d="M12 5v14M5 12h14" /></Icon>
export const DocumentIcon = () => <Icon size={13}><path d="M14 3H7a1.5 1.5 0 0 0-1.5 1.5v15A1.5 1.5 0 0 0 7 21h10a1.5 1.5 0 0 0 1.5-1.5V7.5zM14 3v4.5h4.5" /></Icon>
