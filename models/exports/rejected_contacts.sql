with contacts as (

    select * from {{ ref('int_contacts_judged') }}
    where disposition = 'rejected'

),

customers as (

    select * from {{ ref('customers') }}
    where email is null and phone is null

),

rejected as (

    select
        namespace,
        customer_id,
        channel,
        position,
        rejection_reason as reason,
        contact_as_given,
        file_name,
        line_number
    from contacts

    union all

    select
        namespace,
        customer_id,
        'any' as channel,
        0 as position,
        'no_contact' as reason,
        cast(null as {{ dbt.type_string() }}) as contact_as_given,
        cast(null as {{ dbt.type_string() }}) as file_name,
        cast(null as bigint) as line_number
    from customers

),

-- A loader need not say of which file a row is: then those that look alike are told apart by their number.
{% set told_by = ['namespace', 'customer_id', 'channel', 'position', 'file_name', 'line_number'] %}
numbered as (

    select
        *,
        case
            when file_name is null
                then row_number() over (partition by {{ told_by | join(', ') }} order by contact_as_given, reason)
        end as number_of_alike
    from rejected

)

select
    namespace,
    customer_id,
    channel,
    cast(position as bigint) as position,
    reason,
    contact_as_given,
    case
        when number_of_alike > 1 then {{ surrogate_key(told_by + ['number_of_alike']) }}
        else {{ surrogate_key(told_by) }}
    end as unique_key,
    file_name,
    line_number
from numbered
order by namespace, customer_id, channel, position, unique_key
