-- No address is eligible whose last word, or last report, was an unsubscribe.
with eligibility as (

    select * from {{ ref('email_eligibility') }}

),

signals as (

    select * from {{ ref('int_email_signals') }}
    where signal = 'unsubscribe'

)

select
    eligibility.unique_key,
    eligibility.namespace,
    eligibility.status,
    eligibility.changed_at,
    signals.said_at as unsubscribed_at
from signals
left join eligibility
    on signals.namespace = eligibility.namespace
    and signals.email = eligibility.email
where eligibility.email is null
    or (
        eligibility.status <> 'unsubscribed'
        and (eligibility.status = 'known' or signals.said_at >= eligibility.changed_at)
    )
