-- No address is eligible while an unsubscribe of it stands: one that nothing later took back, be it a consent, an
-- opt-in to all mail, or one to the group that was left.
with eligibility as (

    select * from {{ ref('email_eligibility') }}

),

customers as (

    select * from {{ ref('stg_platform__customers') }}

),

signals as (

    select * from {{ ref('int_email_signals') }}

),

opt_ins as (

    select
        namespace,
        email,
        unsubscribe_group,
        max(said_at) as said_at
    from signals
    where signal = 'opt_in'
    group by namespace, email, unsubscribe_group

),

consents as (

    select
        namespace,
        email,
        max(email_opted_in_at) as said_at
    from customers
    group by namespace, email

),

standing as (

    select signals.*
    from signals
    left join opt_ins as to_all
        on signals.namespace = to_all.namespace
        and signals.email = to_all.email
        and to_all.unsubscribe_group is null
    left join opt_ins as to_group
        on signals.namespace = to_group.namespace
        and signals.email = to_group.email
        and signals.unsubscribe_group = to_group.unsubscribe_group
    left join consents
        on signals.namespace = consents.namespace
        and signals.email = consents.email
    where signals.signal = 'unsubscribe'
        and (to_all.said_at is null or to_all.said_at <= signals.said_at)
        and (to_group.said_at is null or to_group.said_at <= signals.said_at)
        and (consents.said_at is null or consents.said_at <= signals.said_at)

)

select
    eligibility.unique_key,
    eligibility.namespace,
    eligibility.status,
    eligibility.changed_at,
    standing.said_at as unsubscribed_at
from standing
left join eligibility
    on standing.namespace = eligibility.namespace
    and standing.email = eligibility.email
where eligibility.email is null or eligibility.status <> 'unsubscribed'
