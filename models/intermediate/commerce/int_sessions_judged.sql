with sessions as (

    select * from {{ ref('stg_commerce__sessions') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

judged as (

    select
        sessions.*,
        case
            when sessions.namespace is null then 'no_namespace'
            when namespaces.namespace is null then 'unknown_namespace'
            when sessions.session_id is null then 'no_id'
            when sessions.started_at is null or sessions.updated_at is null then 'no_time'
        end as rejection_reason
    from sessions
    left join namespaces on sessions.namespace = namespaces.namespace

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, session_id, case when rejection_reason is null then 1 else 0 end
            order by updated_at desc, file_name desc, line_number desc
        ) as version
    from judged

)

select
    *,
    case
        when rejection_reason is not null then 'rejected'
        when version = 1 then 'kept'
        else 'superseded'
    end as disposition
from ranked
