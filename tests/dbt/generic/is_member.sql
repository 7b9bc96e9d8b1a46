{# Each member of an audience is a customer who can be reached, and is marked as there. #}
{% test is_member(model, of) %}

    with members as (

        select * from {{ model }}

    ),

    customers as (

        select * from {{ of }}

    )

    select
        members.namespace,
        members.customer_id,
        members.is_unsubscribed as offending_value
    from members
    left join customers
        on members.namespace = customers.namespace
        and members.customer_id = customers.customer_id
    where customers.customer_id is null
        or members.is_unsubscribed <> customers.is_unsubscribed
        or coalesce(customers.email, customers.phone) is null

{% endtest %}
