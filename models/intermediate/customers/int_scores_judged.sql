with scores as (

    select * from {{ ref('stg_data_science__scores') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

customers as (

    select * from {{ ref('stg_platform__customers') }}

),

judged as (

    select
        scores.*,
        case
            when scores.namespace is null then 'no_namespace'
            when namespaces.namespace is null then 'unknown_namespace'
            when scores.customer_id is null then 'no_id'
            when scores.score is null or scores.score not in ({{ dbt_delivery.quoted(score_names()) }})
                then 'unknown_score'
            when customers.customer_id is null then 'unknown_customer'
            when scores.raw_score is null then 'no_number'
            when scores.computed_at is null then 'no_time'
        end as rejection_reason
    from scores
    left join namespaces on scores.namespace = namespaces.namespace
    left join customers
        on scores.namespace = customers.namespace
        and scores.customer_id = customers.customer_id

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, customer_id, score, case when rejection_reason is null then 1 else 0 end
            order by computed_at desc, file_name desc, line_number desc
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
